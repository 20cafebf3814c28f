import {describe, expect, it} from 'vitest'
import {rootSection} from '../../../src/config/index.ts'
import {defaultOf, leaves} from '../../../src/config/meta.ts'

/**
 * The keys of upstream (spec config.md 3), each with its default as JSON ("-" where it is unset) and its variable. A third
 * word `*` marks a default or variable that is another one here on purpose.
 */
const upstream = `
accept_invalid_certificates false MIRRORD_ACCEPT_INVALID_CERTIFICATES
skip_processes - MIRRORD_SKIP_PROCESSES
skip_build_tools true MIRRORD_SKIP_BUILD_TOOLS
skip_extra_build_tools - MIRRORD_SKIP_EXTRA_BUILD_TOOLS
operator - MIRRORD_OPERATOR_ENABLE
multi_cluster - MIRRORD_MULTI_CLUSTER
api true MIRRORD_API
profile -
kubeconfig - MIRRORD_KUBECONFIG
kube_context - MIRRORD_KUBE_CONTEXT
telemetry * MIRRORD_TELEMETRY
use_proxy true MIRRORD_PROXY
key - MIRRORD_KEY
traceparent -
baggage -
skip_sip ["git"] MIRRORD_SKIP_SIP
sip_binaries -
target.path - MIRRORD_IMPERSONATED_TARGET
target.namespace - MIRRORD_TARGET_NAMESPACE
agent.log_level "info" MIRRORD_AGENT_RUST_LOG
agent.json_log false MIRRORD_AGENT_JSON_LOG
agent.namespace - MIRRORD_AGENT_NAMESPACE
agent.image "ghcr.io/metalbear-co/mirrord:3.250.0" MIRRORD_AGENT_IMAGE
agent.image_pull_policy "IfNotPresent" MIRRORD_AGENT_IMAGE_PULL_POLICY
agent.image_pull_secrets -
agent.ttl 1 MIRRORD_AGENT_TTL
agent.ephemeral false MIRRORD_EPHEMERAL_CONTAINER
agent.communication_timeout - MIRRORD_AGENT_COMMUNICATION_TIMEOUT
agent.startup_timeout 60 MIRRORD_AGENT_STARTUP_TIMEOUT
agent.flush_connections true MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS
agent.disabled_capabilities -
agent.tolerations -
agent.resources -
agent.check_out_of_pods true
agent.privileged false
agent.external_ip_fix true MIRRORD_AGENT_EXTERNAL_IP_FIX
agent.nftables -
agent.dns.timeout -
agent.dns.attempts -
agent.labels -
agent.annotations -
agent.node_selector -
agent.service_account -
agent.metrics -
agent.exclude_from_mesh false MIRRORD_AGENT_EXCLUDE_FROM_MESH
agent.disable_mesh_sidecar_injection true
agent.priority_class -
agent.inject_headers false
agent.override_cache_control true
agent.max_body_buffer_size 65535
agent.max_body_buffer_timeout 1000
agent.http_detection_timeout 2 MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT
agent.security_context -
agent.clean_iptables_on_start - MIRRORD_AGENT_CLEAN_IPTABLES_ON_START
agent.jaq_time_limit 1
feature.hostname true
feature.copy_target.enabled false
feature.copy_target.scale_down false
feature.copy_target.exclude_containers -
feature.copy_target.exclude_init_containers -
feature.split_queues {}
feature.db_branches []
feature.magic.aws *
feature.magic.auto_mount *
feature.magic.turbo true
feature.env.include - MIRRORD_OVERRIDE_ENV_VARS_INCLUDE
feature.env.exclude - MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE
feature.env.override -
feature.env.load_from_process false MIRRORD_ENV_LOAD_FROM_PROCESS
feature.env.unset -
feature.env.env_file - MIRRORD_OVERRIDE_ENV_VARS_FILE
feature.env.mapping -
feature.fs.mode "read" MIRRORD_FILE_MODE
feature.fs.read_write - MIRRORD_FILE_READ_WRITE_PATTERN
feature.fs.read_only - MIRRORD_FILE_READ_ONLY_PATTERN
feature.fs.local - MIRRORD_FILE_LOCAL_PATTERN
feature.fs.not_found -
feature.fs.mapping -
feature.fs.readonly_file_buffer 128000
feature.network.ipv6 true MIRRORD_ENABLE_IPV6
feature.network.incoming.mode * MIRRORD_AGENT_TCP_STEAL_TRAFFIC
feature.network.incoming.http_filter.header_filter - MIRRORD_HTTP_HEADER_FILTER
feature.network.incoming.http_filter.path_filter - MIRRORD_HTTP_PATH_FILTER
feature.network.incoming.http_filter.method_filter - MIRRORD_HTTP_METHOD_FILTER
feature.network.incoming.http_filter.body_filter -
feature.network.incoming.http_filter.header_filter_jq - MIRRORD_HTTP_HEADER_FILTER_JQ
feature.network.incoming.http_filter.all_of -
feature.network.incoming.http_filter.any_of -
feature.network.incoming.http_filter.ports - MIRRORD_HTTP_FILTER_PORTS
feature.network.incoming.port_mapping []
feature.network.incoming.listen_ports []
feature.network.incoming.ports -
feature.network.incoming.ignore_ports []
feature.network.incoming.ignore_localhost false
feature.network.incoming.on_concurrent_steal "abort" MIRRORD_OPERATOR_ON_CONCURRENT_STEAL
feature.network.incoming.tls_delivery -
feature.network.incoming.https_delivery -
feature.network.outgoing.tcp true MIRRORD_TCP_OUTGOING
feature.network.outgoing.udp true MIRRORD_UDP_OUTGOING
feature.network.outgoing.ignore_localhost false
feature.network.outgoing.filter -
feature.network.outgoing.unix_streams - MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS
feature.network.dns.enabled true MIRRORD_REMOTE_DNS
feature.network.dns.filter -
feature.preview.image - MIRRORD_PREVIEW_IMAGE
feature.preview.ttl_mins - MIRRORD_PREVIEW_TTL_MINS
feature.preview.ttl_secs - MIRRORD_PREVIEW_TTL_SECS
feature.preview.creation_timeout_secs 60 MIRRORD_PREVIEW_CREATION_TIMEOUT_SECS
feature.preview.replicas 1 MIRRORD_PREVIEW_REPLICAS
feature.preview.labels.include -
feature.preview.labels.exclude -
feature.preview.idle.start_idle false MIRRORD_PREVIEW_START_IDLE
feature.preview.idle.sleep_after_secs - MIRRORD_PREVIEW_IDLE_SLEEP_AFTER_SECS
feature.preview.idle.wake_timeout_secs - MIRRORD_PREVIEW_IDLE_WAKE_TIMEOUT_SECS
feature.preview.config_mounts -
feature.preview.secret_mounts -
container.cli_image -
container.cli_extra_args []
container.cli_prevent_cleanup false
container.cli_image_lib_path -
container.override_host_ip -
container.host_gateway_detection true
container.cli_tls_path "/opt/mirrord/tls/mirrord-tls.pem"
container.platform -
internal_proxy.start_idle_timeout 60
internal_proxy.idle_timeout 5
internal_proxy.socket_timeout 31536000
internal_proxy.ping_interval 30
internal_proxy.log_level "mirrord=info,warn"
internal_proxy.log_destination -
internal_proxy.json_log true
internal_proxy.process_logging_interval 60
external_proxy.tls_enable true
external_proxy.start_idle_timeout 60
external_proxy.idle_timeout 5
external_proxy.log_level "mirrord=info,warn"
external_proxy.log_destination -
external_proxy.json_log true
external_proxy.host_ip -
startup_retry.min_ms 500
startup_retry.max_ms 5000
startup_retry.max_retries 2
ci.output_dir -
experimental.tcp_ping4_mock true
experimental.enable_exec_hooks_linux true
experimental.hide_ipv6_interfaces false
experimental.use_dev_null true
experimental.idle_local_http_connection_timeout 3000
experimental.dlopen_cgo false
experimental.go_asmcgocall -
experimental.guard_std_fds -
experimental.latency.transmit_delay 0
experimental.latency.receive_delay 0
experimental.non_blocking_tcp_connect true
experimental.browser_extension_config false
experimental.disable_reuseaddr -
experimental.trust_any_certificate false
experimental.ignore_system_proxy_config false
experimental.sip_log_destination -
experimental.applev -
experimental.sip_utils false
`
  .trim()
  .split('\n')
  .map((line) => line.split(' ') as [string, string, string | undefined])

const here = new Map([...leaves(rootSection)].map(({path, schema, meta}) => [path.join('.'), {schema, meta}]))

describe('the keys of upstream', () => {
  it.each(upstream)('%s has its default and its variable', (key, expected, variable) => {
    const leaf = here.get(key)
    if (!leaf) throw new Error(`${key} is not in the schema`)
    if (expected !== '*') expect(JSON.stringify(defaultOf(leaf.schema)) ?? '-').toBe(expected)
    expect(leaf.meta.env).toBe(variable)
  })

  it('are all keys but ours', () => {
    const known = new Set(upstream.map(([key]) => key))
    const more = [...here.keys()].filter((key) => !known.has(key))
    expect(more.filter((key) => here.get(key)?.meta.compare !== 'ours')).toEqual([])
    expect(more.filter((key) => !key.startsWith('ci.'))).toEqual([])
  })
})
