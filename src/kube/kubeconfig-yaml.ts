import {parse, parseDocument} from 'yaml'

// A module of its own, loaded only where the library's reading does not do: the parser is large.

/** What a kubeconfig says. */
export const readKubeconfig = (text: string): unknown => parse(text)

/** The kubeconfig with other values in the `config` of a user's `auth-provider`; everything else stays as it is written. */
export function withProviderConfig(text: string, user: string, values: Readonly<Record<string, string>>): string {
  const document = parseDocument(text)
  const users = (document.toJS() as {users?: {name?: string}[]}).users ?? []
  const index = users.findIndex(({name}) => name === user)
  for (const [key, value] of Object.entries(values))
    document.setIn(['users', index, 'user', 'auth-provider', 'config', key], value)
  return document.toString({lineWidth: 0})
}
