import {parseProfile} from '../profile-reference.ts'
import type {Checks} from './context.ts'

/** A profile of a namespace is for targets of that namespace (config.md 2.8). */
export function checkProfile({config, named, refuse}: Checks): void {
  const {profile, target} = config
  if (profile === undefined || target.namespace === undefined) return
  const {namespace} = parseProfile(profile)
  if (namespace === undefined || namespace === target.namespace) return
  refuse('profile', `it is for targets in the namespace that it names, but ${named('target.namespace')} is another`)
}
