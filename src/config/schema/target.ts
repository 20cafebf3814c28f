import * as z from 'zod'
import {field, isRecord, section} from '../meta.ts'
import {kubernetesName, text} from '../scalars.ts'
import {formatTarget, readTarget, targetKeys, targetObject, type TargetPath} from '../target.ts'

const path = z.unknown().transform((value, context): TargetPath => {
  const reading = readTarget(value)
  if ('target' in reading) return reading.target
  context.addIssue({code: 'custom', message: reading.problem})
  return z.NEVER
})

const named = (more: z.ZodRawShape) =>
  z.union([
    z.strictObject({labels: z.record(z.string(), z.string()), container: text().optional(), ...more}),
    ...targetKeys.map((key) => z.strictObject({[key]: text(), container: text().optional(), ...more})),
  ])
/** What a file may say for the path: a text, or an object with one of the kinds; for the section, with its namespace. */
const input = z.union([text(), named({})])
const forms = z.union([text(), named({namespace: text().optional()})])

/** Section `target` (config.md 3.2). */
export const targetSection = section(
  {
    path: field(path.optional(), {
      doc: 'The target: <kind>/<name> (pod, deployment, rollout, replicaset, statefulset, daemonset, job, cronjob, service) or label/<key>=<value>[,…], each optionally with /container/<container>; or targetless.',
      env: 'MIRRORD_IMPERSONATED_TARGET',
      flags: {target: true},
      fromText: (value) => value,
      input,
      toFile: (value) => targetObject(value as TargetPath),
      toText: (value) => formatTarget(value as TargetPath),
      examples: [
        'pod/web-0',
        'deployment/shop/container/web',
        {deployment: 'shop'},
        'label/app=shop,tier=web',
        'targetless',
      ],
      compare: {
        better: 'without the operator upstream takes pods, deployments and rollouts alone; it has no daemon sets',
      },
    }),
    namespace: field(kubernetesName().optional(), {
      doc: "Namespace of the target; the context's by default.",
      env: 'MIRRORD_TARGET_NAMESPACE',
      flags: {'target-namespace': true},
    }),
  },
  {
    doc: 'What the program runs as.',
    short: 'a target path',
    forms,
    expand: (value) => {
      if (typeof value === 'string') return {path: value}
      if (!isRecord(value) || 'path' in value) return undefined
      const {namespace, ...path} = value
      return {...(Object.keys(path).length > 0 ? {path} : {}), ...(namespace === undefined ? {} : {namespace})}
    },
  },
)
