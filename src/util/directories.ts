import {mkdirSync, statSync} from 'node:fs'
import path from 'node:path'

/**
 * Makes a directory and what is missing above it; true when it was not there. Not `mkdirSync` with `recursive`: that one
 * never returns where the kernel answers ENOENT to every mkdir(2), as below /proc (Node 22). Errors: those of mkdir(2).
 */
export function makeDirectories(directory: string): boolean {
  if (statSync(directory, {throwIfNoEntry: false})?.isDirectory()) return false
  const parent = path.dirname(directory)
  if (parent !== directory) makeDirectories(parent)
  try {
    mkdirSync(directory)
    return true
  } catch (error) {
    // Made by another process meanwhile; a file of that name is an error.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(directory).isDirectory()) return false
    throw error
  }
}
