import * as z from 'zod'
import {inert, section} from '../meta.ts'
import {list, text, u64} from '../scalars.ts'

const library = {why: 'it switches the library injection, which is not used here'} as const
/** Keys that concern macOS only. */
export const otherSystem = {why: 'it concerns macOS only'} as const
const delay = () => u64().default(0)

/** Section `experimental` (config.md 3.11). */
export const experimentalSection = section(
  {
    tcp_ping4_mock: inert(z.boolean().default(true), {
      doc: 'Let TCP connections to port 7 succeed without traffic.',
      why: 'connections to port 7 are connections like any other',
    }),
    enable_exec_hooks_linux: inert(z.boolean().default(true), {
      doc: 'Keep sockets over execve.',
      why: 'sockets always survive execve',
    }),
    hide_ipv6_interfaces: inert(z.boolean().default(false), {doc: 'Hide IPv6 addresses of interfaces.', ...library}),
    use_dev_null: inert(z.boolean().default(true), {
      doc: 'Use /dev/null as the stand-in of remote files.',
      why: 'the program gets real descriptors of remote files',
    }),
    idle_local_http_connection_timeout: inert(u64().default(3000), {
      doc: 'Milliseconds for which a connection to the program is kept for further requests.',
      why: 'connections are not shared between callers',
    }),
    dlopen_cgo: inert(z.boolean().default(false), {doc: 'Hook Go code of loaded libraries.', ...library}),
    go_asmcgocall: inert(z.boolean().optional(), {doc: 'Another hook of Go.', ...library}),
    guard_std_fds: inert(z.boolean().optional(), {doc: 'Open closed descriptors 0 to 2 first.', ...library}),
    latency: section(
      {
        transmit_delay: inert(delay(), {doc: 'Milliseconds added to what is sent.', ...library}),
        receive_delay: inert(delay(), {doc: 'Milliseconds added to what is received.', ...library}),
      },
      {doc: 'Delays (deprecated upstream).'},
    ),
    non_blocking_tcp_connect: inert(z.boolean().default(true), {
      doc: 'Emulate connections that do not block (deprecated upstream).',
      why: 'connect(2) reports what the target met, blocking or not as the program asked',
    }),
    browser_extension_config: inert(z.boolean().default(false), {
      doc: 'Print a link for a browser extension.',
      why: 'there is nobody to follow it in CI',
    }),
    disable_reuseaddr: inert(z.boolean().optional(), {doc: 'Leave SO_REUSEADDR out.', ...otherSystem}),
    trust_any_certificate: inert(z.boolean().default(false), {doc: 'Trust any certificate.', ...otherSystem}),
    ignore_system_proxy_config: inert(z.boolean().default(false), {doc: "Ignore the system's proxy.", ...otherSystem}),
    sip_log_destination: inert(text().optional(), {doc: 'Log of patched binaries.', ...otherSystem}),
    applev: inert(z.strictObject({}).optional(), {doc: 'Variables of the loader.', ...otherSystem}),
    sip_utils: inert(z.boolean().default(false), {doc: 'Patch with a tool (deprecated upstream).', ...otherSystem}),
  },
  {doc: 'Switches that upstream calls experimental.'},
)

/** Keys of the root that concern macOS only. */
export const sipFields = {
  skip_sip: inert(list().default(['git']), {
    doc: 'Binaries that are not patched.',
    env: 'MIRRORD_SKIP_SIP',
    ...otherSystem,
  }),
  sip_binaries: inert(list().optional(), {doc: 'Binaries that are patched.', ...otherSystem}),
}
