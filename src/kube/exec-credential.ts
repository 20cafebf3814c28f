import {spawn} from 'node:child_process'
import type {Environment} from '../config/index.ts'
import {MirrordError} from '../errors/mirrord-error.ts'
import {collect} from '../util/collect.ts'

/** The entry `exec` of a kubeconfig's user (kubeconfig v1, client-go credential plugins). */
export interface ExecPlugin {
  apiVersion?: string
  command?: string
  args?: string[] | null
  env?: {name: string; value: string}[] | null
  installHint?: string
  provideClusterInfo?: boolean
  interactiveMode?: string
}

/** The cluster as a plugin is told of it: `spec.cluster` of an ExecCredential. */
export interface ExecCluster {
  server: string
  'tls-server-name'?: string
  'insecure-skip-tls-verify'?: boolean
  /** base64 of PEM. */
  'certificate-authority-data'?: string
  'proxy-url'?: string
  /** The cluster's extension `client.authentication.k8s.io/exec`. */
  config?: unknown
}

/** What a plugin has given: a token, a client certificate with its key (PEM), or both. */
export interface ExecCredential {
  token?: string
  certificate?: string
  key?: string
  /** ms since the epoch; without it the credential holds until the server refuses it. */
  expiresAt?: number
}

/** A plugin that waits for somebody, or for a network, would hold the job until its own limit. */
const LIMIT_MS = 60_000
/** Of what a plugin prints; credentials take a few KiB. */
const MAX_OUTPUT = 1024 * 1024
const versions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']

/**
 * Runs a credential plugin as client-go does: with `KUBERNETES_EXEC_INFO`, the variables of the entry over `env`, nobody to
 * talk to. The library's own runner gives neither that variable nor a limit, and keeps a refused token for ever. Throws a
 * MirrordError: CREDENTIAL_PROGRAM_MISSING and CREDENTIAL_PROGRAM_ENTRY (exit kubeconfig), CREDENTIAL_PROGRAM_FAILED
 * (exit unauthorized).
 */
export async function execCredential(
  plugin: ExecPlugin,
  cluster: ExecCluster,
  {context, env, limitMs = LIMIT_MS}: {context: string; env: Environment; limitMs?: number},
): Promise<ExecCredential> {
  const {command, apiVersion = ''} = plugin
  const wrong = entryProblem(plugin)
  if (wrong || !command) throw entry(context, wrong ?? 'it names no command', command)
  const info = {
    kind: 'ExecCredential',
    apiVersion,
    spec: {interactive: false, ...(plugin.provideClusterInfo ? {cluster} : {})},
  }
  const own = Object.fromEntries((plugin.env ?? []).map(({name, value}) => [name, value]))
  const child = spawn(command, plugin.args ?? [], {
    env: {...env, ...own, KUBERNETES_EXEC_INFO: JSON.stringify(info)},
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own group, so that what it has started ends with it at the limit.
    detached: true,
  })
  let late = false
  const limit = setTimeout(() => {
    late = true
    process.kill(-child.pid!, 'SIGKILL')
  }, limitMs)
  const [out, err] = [collect(child.stdout, MAX_OUTPUT), collect(child.stderr, MAX_OUTPUT)]
  const {code, signal, error} = await new Promise<{code?: number | null; signal?: string | null; error?: Error}>(
    (resolve) => {
      child.once('error', (reason) => resolve({error: reason}))
      child.once('close', (status, killed) => resolve({code: status, signal: killed}))
    },
  )
  clearTimeout(limit)
  if (error) throw missing(context, plugin, error)
  const failed = (why: string) => failure(context, command, why, err())
  if (late) throw failed(`It had not ended within ${limitMs / 1000} s.`)
  if (code !== 0) throw failed(signal ? `It was ended by ${signal}.` : `It ended with exit status ${code}.`)
  return read(out(), apiVersion, failed)
}

/** What of the entry cannot be used here, in words. */
function entryProblem({apiVersion, interactiveMode, command}: ExecPlugin): string | undefined {
  if (!apiVersion || !versions.includes(apiVersion))
    return `its apiVersion is ${apiVersion ? `"${apiVersion}"` : 'missing'}; known: ${versions.join(', ')}`
  if (interactiveMode === 'Always') return `"${command}" wants to talk to somebody (interactiveMode: Always)`
  return undefined
}

function read(text: string, apiVersion: string, failed: (why: string) => MirrordError): ExecCredential {
  let value: {kind?: string; apiVersion?: string; status?: Record<string, string | undefined>} | null
  try {
    value = JSON.parse(text) as typeof value
  } catch {
    throw failed('What it printed is no JSON.')
  }
  if (value?.kind !== undefined && value.kind !== 'ExecCredential') throw failed('It printed no ExecCredential.')
  if (value?.apiVersion !== undefined && value.apiVersion !== apiVersion)
    throw failed(`It printed an ExecCredential of the version "${value.apiVersion}", not "${apiVersion}".`)
  const {token, clientCertificateData: certificate, clientKeyData: key, expirationTimestamp} = value?.status ?? {}
  if (!token && !certificate) throw failed('It printed an ExecCredential without a token and without a certificate.')
  if (!certificate !== !key) throw failed('It printed a certificate without its key, or a key without its certificate.')
  const expiresAt = Date.parse(expirationTimestamp ?? '')
  return {token, certificate, key, ...(Number.isNaN(expiresAt) ? {} : {expiresAt})}
}

function entry(context: string, why: string, command: string | undefined): MirrordError {
  return new MirrordError({
    code: 'CREDENTIAL_PROGRAM_ENTRY',
    exit: 'kubeconfig',
    what: `The credentials of the context "${context}" cannot be read.`,
    why: `The entry "exec" of its user cannot be used: ${why}.`,
    next: [
      ...(rewritten[command?.split('/').at(-1) ?? ''] ?? []),
      "Correct the kubeconfig, or use one with a service account's token.",
    ],
  })
}

function missing(context: string, {command, installHint}: ExecPlugin, cause: Error): MirrordError {
  const hint = installHint?.trim()
  return new MirrordError(
    {
      code: 'CREDENTIAL_PROGRAM_MISSING',
      exit: 'kubeconfig',
      what: `The credentials of the context "${context}" cannot be read.`,
      why: `The kubeconfig gets them from the program "${command}", which is not installed here or not executable.`,
      next: [
        `Install ${command} in the CI job, or use a kubeconfig with a service account's token.`,
        ...(known[command!.split('/').at(-1)!] ?? []),
      ],
      ...(hint ? {detail: `The kubeconfig says of it:\n${hint}`} : {}),
    },
    {cause},
  )
}

/** How an entry that is too old is written anew. */
const rewritten: Readonly<Record<string, readonly string[]>> = {
  aws: ['Write it anew: aws eks update-kubeconfig --name CLUSTER'],
  'aws-iam-authenticator': ['Write it anew: aws eks update-kubeconfig --name CLUSTER'],
  'gke-gcloud-auth-plugin': ['Write it anew: gcloud container clusters get-credentials CLUSTER'],
  kubelogin: ['Write it anew: az aks get-credentials and kubelogin convert-kubeconfig'],
}

/** How the programs of the large clouds come into a CI image. */
const known: Readonly<Record<string, readonly string[]>> = {
  aws: ['It is the AWS CLI, version 2.'],
  'aws-iam-authenticator': ['It is a single binary of the project kubernetes-sigs/aws-iam-authenticator.'],
  'gke-gcloud-auth-plugin': ['Install it with: gcloud components install gke-gcloud-auth-plugin'],
  kubelogin: ['Install it with: az aks install-cli'],
}

function failure(context: string, command: string, why: string, stderr: string): MirrordError {
  const said = stderr.trim().split('\n').slice(-10).join('\n')
  return new MirrordError({
    code: 'CREDENTIAL_PROGRAM_FAILED',
    exit: 'unauthorized',
    what: `The credentials of the context "${context}" cannot be read.`,
    why: `The program "${command}" failed. ${why}`,
    next: ['Sign in again, or provide what the program needs in the CI job.', 'Check with: kubectl auth whoami'],
    // What the program printed helps, but it may hold a token: long unbroken words are cut out.
    ...(said ? {detail: said.replace(/[\w+/=.-]{40,}/g, '…').slice(0, 1000)} : {}),
  })
}
