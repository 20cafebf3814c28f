import {constants} from 'node:fs'
import type {OpenOptions} from '../../protocol/index.ts'

const {O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_TRUNC, O_EXCL} = constants

/** The flags of open(2) for Rust's `OpenOptions`; undefined for combinations that Rust refuses with EINVAL (protocol.md 3.8.3). */
export function openFlags(options: OpenOptions): number | undefined {
  const {read, write, append, truncate, create, createNew} = options
  const creates = create || createNew || truncate
  if (!read && !write && !append) return undefined
  if (!write && !append && creates) return undefined
  if (append && truncate && !createNew) return undefined
  const access = append ? (read ? O_RDWR : O_WRONLY) | O_APPEND : write ? (read ? O_RDWR : O_WRONLY) : O_RDONLY
  if (createNew) return access | O_CREAT | O_EXCL
  return access | (create ? O_CREAT : 0) | (truncate ? O_TRUNC : 0)
}
