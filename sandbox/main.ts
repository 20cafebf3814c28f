import {parseArgs} from 'node:util'

import {NotPossible, startSandbox} from './sandbox.ts'

/** Runs a sandbox until SIGINT or SIGTERM. Prints the kubeconfig's path as its last line. */
async function main(): Promise<number> {
  const {values} = parseArgs({
    options: {
      images: {type: 'string'},
      agent: {type: 'string'},
      node: {type: 'string'},
      'pod-range': {type: 'string'},
      'service-range': {type: 'string'},
      help: {type: 'boolean'},
    },
  })
  if (values.help) {
    console.log(
      [
        'node sandbox/main.ts [--images FILE] [--agent BUNDLE] [--node NAME] [--pod-range 10.211] [--service-range 10.212]',
        'Starts a local cluster, prints the path of its kubeconfig as the last line, runs until Ctrl-C.',
        '  --images FILE   JSON {name: {entrypoint, cmd, env, workingDir, files: [{source, destination}]}}',
        '  --agent BUNDLE  agent of the image localhost/mirrord-agent:sandbox (lib/agent/agent.js)',
      ].join('\n'),
    )
    return 0
  }
  const signal = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve())
  })
  const began = Date.now()
  const sandbox = await startSandbox({
    agentBundle: values.agent,
    nodeName: values.node,
    podRange: values['pod-range'],
    serviceRange: values['service-range'],
  })
  if (values.images) sandbox.images.load(values.images)
  const {pods, services} = sandbox.addresses
  console.log(
    `Cluster ready after ${Date.now() - began} ms: ${sandbox.server}, pods ${pods}, services ${services}. Ctrl-C ends it.`,
  )
  console.log(sandbox.kubeconfig)
  const why = await Promise.race([signal.then(() => 'signal'), sandbox.ended.then(() => 'node')])
  await sandbox.stop()
  if (why === 'signal') return 0
  console.error('The sandbox has ended: its node was killed.')
  return 1
}

try {
  process.exitCode = await main()
} catch (error) {
  const text = error instanceof Error ? error.message : String(error)
  console.error(
    error instanceof NotPossible ? `The sandbox cannot run here. ${text}` : `The sandbox failed to start. ${text}`,
  )
  process.exitCode = error instanceof NotPossible ? error.exitCode : 1
}
