import type {Checks} from './context.ts'

/** Preview environments, which another command makes: a file that serves it as well must be right (E20). */
export function checkPreview({config, named, refuse}: Checks): void {
  const {preview} = config.feature
  const at = (key: string) => `feature.preview.${key}`
  if (preview.ttl_mins !== undefined && preview.ttl_secs !== undefined) {
    refuse(at('ttl_mins'), `cannot be set together with ${named(at('ttl_secs'))}`)
  }
  if (preview.labels.include !== undefined && preview.labels.exclude !== undefined) {
    refuse(at('labels.include'), `cannot be set together with ${named(at('labels.exclude'))}`)
  }
  for (const key of ['config_mounts', 'secret_mounts'] as const) {
    for (const [index, mount] of (preview[key] ?? []).entries()) {
      const path = at(`${key}.${index}`)
      const inline = mount.payload !== undefined
      if (inline === (mount.from_file !== undefined)) refuse(path, 'exactly one of payload and from_file must be set')
      else if (inline && mount.type === undefined) refuse(path, 'a payload needs its type: text or binary')
    }
  }
}
