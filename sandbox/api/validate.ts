import {isDeepStrictEqual} from 'node:util'

import {forbiddenField, invalid, invalidValue, required} from './status.ts'
import type {Cause} from './status.ts'
import {matchesSelector} from './selectors.ts'
import {checkDefinition} from './custom.ts'
import type {Definition} from './custom.ts'
import {R} from './resources.ts'
import type {Resource} from './resources.ts'
import {misfits} from './schema.ts'
import type {Container, Deployment, Job, LabelSelector, Obj, Pod, PodSpec, PodTemplate, Service} from './types.ts'

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"

function checkName(resource: Resource, object: Obj): Cause[] {
  const {name} = object.metadata
  if (!name) return [required('metadata.name', 'name or generateName is required')]
  const strict = resource === R.namespaces || resource === R.services
  const rule = strict ? LABEL : SUBDOMAIN
  if (rule.test(name) && name.length <= (strict ? 63 : 253)) return []
  return [invalidValue('metadata.name', name, strict ? LABEL_TEXT : SUBDOMAIN_TEXT)]
}

function checkContainers(containers: Container[] | undefined, path: string): Cause[] {
  const seen = new Set<string>()
  return (containers ?? []).flatMap((container, index) => {
    const at = `${path}[${index}]`
    const causes: Cause[] = []
    if (!container.name) causes.push(required(`${at}.name`))
    else if (!LABEL.test(container.name)) causes.push(invalidValue(`${at}.name`, container.name, LABEL_TEXT))
    else if (seen.has(container.name)) {
      causes.push({
        reason: 'FieldValueDuplicate',
        message: `Duplicate value: ${JSON.stringify(container.name)}`,
        field: `${at}.name`,
      })
    }
    seen.add(container.name)
    if (!container.image) causes.push(required(`${at}.image`))
    for (const [i, port] of (container.ports ?? []).entries()) {
      if (!Number.isInteger(port.containerPort) || port.containerPort < 1 || port.containerPort > 65_535) {
        causes.push(
          invalidValue(`${at}.ports[${i}].containerPort`, port.containerPort, 'must be between 1 and 65535, inclusive'),
        )
      }
    }
    return causes
  })
}

function checkPodSpec(spec: PodSpec | undefined, path: string): Cause[] {
  if (!spec?.containers?.length) return [required(`${path}.containers`)]
  const causes = [
    ...checkContainers(spec.containers, `${path}.containers`),
    ...checkContainers(spec.initContainers, `${path}.initContainers`),
  ]
  const volumes = new Set((spec.volumes ?? []).map((volume) => volume.name))
  for (const [i, container] of spec.containers.entries()) {
    for (const [j, mount] of (container.volumeMounts ?? []).entries()) {
      if (volumes.has(mount.name)) continue
      const field = `${path}.containers[${i}].volumeMounts[${j}].name`
      causes.push({reason: 'FieldValueNotFound', message: `Not found: ${JSON.stringify(mount.name)}`, field})
    }
  }
  if (!['Always', 'OnFailure', 'Never'].includes(spec.restartPolicy ?? '')) {
    causes.push({
      reason: 'FieldValueNotSupported',
      message: `Unsupported value: ${JSON.stringify(spec.restartPolicy)}: supported values: "Always", "Never", "OnFailure"`,
      field: `${path}.restartPolicy`,
    })
  }
  return causes
}

function checkWorkload(selector: LabelSelector | undefined, template: PodTemplate | undefined): Cause[] {
  const causes = checkPodSpec(template?.spec, 'spec.template.spec')
  const empty = !Object.keys(selector?.matchLabels ?? {}).length && !selector?.matchExpressions?.length
  if (empty) causes.unshift(required('spec.selector'))
  else if (!matchesSelector(selector, template?.metadata?.labels)) {
    causes.push(
      invalidValue(
        'spec.template.metadata.labels',
        template?.metadata?.labels ?? {},
        '`selector` does not match template `labels`',
      ),
    )
  }
  return causes
}

const table: Record<string, (object: Obj) => Cause[]> = {
  customresourcedefinitions: (object) => checkDefinition(object as Definition),
  pods: (object) => checkPodSpec((object as Pod).spec, 'spec'),
  deployments: (object) => checkWorkload((object as Deployment).spec?.selector, (object as Deployment).spec?.template),
  replicasets: (object) => checkWorkload((object as Deployment).spec?.selector, (object as Deployment).spec?.template),
  jobs(object) {
    const {spec} = object as Job
    const causes = checkPodSpec(spec?.template?.spec, 'spec.template.spec')
    if (spec?.template?.spec?.restartPolicy === 'Always') {
      causes.push({
        reason: 'FieldValueNotSupported',
        message: 'Unsupported value: "Always": supported values: "OnFailure", "Never"',
        field: 'spec.template.spec.restartPolicy',
      })
    }
    return causes
  },
  services(object) {
    const {spec} = object as Service
    if (spec?.type === 'ExternalName') return spec.externalName ? [] : [required('spec.externalName')]
    if (!spec?.ports?.length && spec?.clusterIP !== 'None') return [required('spec.ports')]
    return (spec.ports ?? []).flatMap((port, i) =>
      Number.isInteger(port.port) && port.port >= 1 && port.port <= 65_535
        ? []
        : [invalidValue(`spec.ports[${i}].port`, port.port, 'must be between 1 and 65535, inclusive')],
    )
  },
}

/** Fields of a kind that never change after creation, by dotted path. */
const immutable: Record<string, string[][]> = {
  deployments: [['spec', 'selector']],
  replicasets: [['spec', 'selector']],
  jobs: [
    ['spec', 'template'],
    ['spec', 'selector'],
    ['spec', 'completions'],
  ],
}

const read = (object: Obj, path: string[]) =>
  path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object)

/** What a pod update may change: images, and activeDeadlineSeconds. Tolerations may only grow; additions are accepted. */
function frozenPodSpec(pod: Pod): unknown {
  const spec = structuredClone(pod.spec)
  for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) container.image = ''
  delete spec.activeDeadlineSeconds
  delete spec.ephemeralContainers
  delete spec.tolerations
  return spec
}

function checkFields(resource: Resource, object: Obj): Cause[] {
  if (resource.schema) return misfits(resource.schema, object, '')
  return table[resource.plural]?.(object) ?? []
}

/** Checks an object before it is created, or, with `previous`, replaced. Throws 422 with every cause. */
export function validate(resource: Resource, object: Obj, previous?: Obj): void {
  const causes = [...(previous ? [] : checkName(resource, object)), ...checkFields(resource, object)]
  if (previous) {
    for (const path of (!resource.schema && immutable[resource.plural]) || []) {
      if (isDeepStrictEqual(read(object, path), read(previous, path))) continue
      causes.push(invalidValue(path.join('.'), read(object, path), 'field is immutable'))
    }
    if (resource === R.pods && !isDeepStrictEqual(frozenPodSpec(object as Pod), frozenPodSpec(previous as Pod))) {
      causes.push(
        forbiddenField(
          'spec',
          'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)',
        ),
      )
    }
  }
  if (causes.length) throw invalid(resource, object.metadata.name, causes)
}
