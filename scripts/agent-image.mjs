// Makes our agent as an image for the local cluster of ../shared/cluster: `npm run agent:image -- NAME`. Prints NAME.
import {createHash} from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {readdirSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {findProgram, main, programEnv, root, run, ScriptError} from './lib/run.mjs'

/** Programs of the image and the Debian package of each; iptables in every form that the agent calls by name. */
const programs = {
  nsenter: 'util-linux',
  conntrack: 'conntrack',
  ss: 'iproute2',
  ...Object.fromEntries(
    ['iptables', 'ip6tables'].flatMap((name) =>
      ['nft', 'legacy'].flatMap((backend) =>
        ['', '-restore', '-save'].map((action) => [`${name}-${backend}${action}`, 'iptables']),
      ),
    ),
  ),
}

/**
 * The container runs it with its working directory / as ./mirrord-agent (spec agent.md 2.3, 3.3). The shell stays as the
 * container's first process: when that one dies the runtime kills all others, and a worker that has lost its guard
 * needs a moment to remove its rules.
 */
const launcher = `#!/bin/sh
/usr/local/bin/node /usr/local/lib/mirrord/agent.js "$@" &
agent=$!
trap 'kill -TERM $agent' TERM INT
wait $agent
code=$?
while kill -0 $agent 2>/dev/null; do
  wait $agent
  code=$?
done
[ $code -le 128 ] || sleep 2
exit $code
`

/** Where the image tool of the shared cluster is: beside the repository, or where the environment says. */
function imageTool() {
  const places = [process.env.MIRRORD_CLUSTER_DIR, join(root, '../shared/cluster')].filter(Boolean)
  const tool = places.map((place) => join(place, 'image')).find((file) => existsSync(file))
  if (!tool) throw new ScriptError(`There is no image tool at ${places.join(' or ')}/image. Set MIRRORD_CLUSTER_DIR.`)
  return tool
}

async function installMissing() {
  const missing = [...new Set(Object.entries(programs).flatMap(([name, pkg]) => (findProgram(name) ? [] : [pkg])))]
  if (!findProgram('busybox')) missing.push('busybox-static')
  if (missing.length === 0) return
  if (process.getuid?.() !== 0) {
    throw new ScriptError(`Debian packages are missing: run "apt-get install ${missing.join(' ')}" as root first.`, 81)
  }
  const env = programEnv({DEBIAN_FRONTEND: 'noninteractive'})
  await run('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {env}).catch(async () => {
    // A machine that has never updated its package lists.
    await run('apt-get', ['update'], {env})
    await run('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {env})
  })
}

/** The directory with iptables' match and target modules; its name carries the machine's architecture. */
function xtablesModules() {
  const folders = readdirSync('/usr/lib').map((name) => join('/usr/lib', name, 'xtables'))
  const found = folders.find((folder) => existsSync(join(folder, 'libxt_owner.so')))
  if (!found) throw new ScriptError('The xtables modules of iptables were not found below /usr/lib.')
  return found
}

/** A name for the content: the same inputs make the same image, which is then not made again. */
function digest(files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(file))
  return hash.digest('hex').slice(0, 16)
}

async function make(name) {
  await installMissing()
  const {agentHelper, bundleAgent} = await import('./lib/bundle-agent.mjs')
  const agent = await bundleAgent(root)
  const helper = join(dirname(agent), agentHelper)
  const node = realpathSync(join(root, 'node_modules/node/bin/node'))
  const tools = Object.keys(programs).map((program) => findProgram(program))
  const modules = xtablesModules()

  const stamps = join(root, 'tmp/agent-image')
  const stamp = join(stamps, encodeURIComponent(name))
  const version = digest([agent, helper, node, ...tools, import.meta.filename])
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version && (await imported(name))) return

  const work = mkdtempSync(join(tmpdir(), 'mirrord-agent-image-'))
  try {
    const script = join(work, 'mirrord-agent')
    writeFileSync(script, launcher)
    chmodSync(script, 0o755)
    const lock = join(work, 'xtables.lock')
    writeFileSync(lock, '')
    const bundle = join(work, 'agent.js')
    copyFileSync(agent, bundle)
    const files = [
      `${script}:/mirrord-agent`,
      `${bundle}:/usr/local/lib/mirrord/agent.js`,
      `${helper}:/usr/local/lib/mirrord/${agentHelper}`,
      // The bundle is an ES module, and only package.json can say so.
      `${packageJson(work)}:/usr/local/lib/mirrord/package.json`,
      `${node}:/usr/local/bin/node`,
      `${lock}:/run/xtables.lock`,
      ...tools.map((tool) => `${tool}:/usr/sbin/${tool.split('/').at(-1)}`),
      modules,
    ]
    const env = {...programEnv(), ENTRYPOINT: '["./mirrord-agent"]', WORKDIR: '/'}
    await run(imageTool(), ['rootfs', name, '--', ...files], {env, failure: 'Making the image'})
  } finally {
    rmSync(work, {recursive: true, force: true})
  }
  mkdirSync(stamps, {recursive: true})
  writeFileSync(stamp, version)
}

function packageJson(work) {
  const file = join(work, 'package.json')
  writeFileSync(file, '{"type":"module"}\n')
  return file
}

/** Whether the cluster still has the image: it loses all of them with `down --purge`. */
async function imported(name) {
  const args = ['-a', '/run/containerd/containerd.sock', '-n', 'k8s.io', 'images', 'ls', '-q', `name==${name}`]
  const output = await run('ctr', args, {env: programEnv()}).catch(() => '')
  return output.trim() === name
}

await main(async () => {
  const [name, ...rest] = process.argv.slice(2)
  if (!name || rest.length > 0 || name.startsWith('-')) {
    throw new ScriptError('Usage: npm run agent:image -- NAME, for example localhost/mirrord-agent:1', 2)
  }
  if (/(^|\/)[^/:]+$/.test(name) || name.endsWith(':latest')) {
    throw new ScriptError(
      `Give the image a tag other than latest, not '${name}': the cluster has no registry to pull it from.`,
      2,
    )
  }
  await make(name)
  console.log(name)
})
