import http from 'node:http'
import https from 'node:https'
import {readFile} from 'node:fs/promises'
import {MirrordError} from '../errors/mirrord-error.ts'
import type {ExecCredential} from './exec-credential.ts'

/** The `config` of a user's `auth-provider` named `oidc` (client-go, plugin/pkg/client/auth/oidc). */
export interface OidcConfig {
  'idp-issuer-url'?: string
  'client-id'?: string
  'client-secret'?: string
  'id-token'?: string
  'refresh-token'?: string
  /** Absolute path. */
  'idp-certificate-authority'?: string
  /** base64 of PEM. */
  'idp-certificate-authority-data'?: string
}

/** Tokens of a refresh; the next one may need the new refresh token. */
export type OidcTokens = Required<Pick<OidcConfig, 'id-token' | 'refresh-token'>>

/** A token that ends within this time is no longer used: a request takes its time, and clocks differ. */
const EARLY_MS = 10_000
const TIMEOUT_MS = 10_000
const MAX_ANSWER = 1024 * 1024

/**
 * The ID token while it lasts, else a new one for the refresh token, which `keep` is told of. The library's own way passes
 * over the client's secret, and takes a token's lifetime for the time of its end. Throws OIDC_TOKEN_EXPIRED or
 * OIDC_REFRESH_FAILED (exit unauthorized).
 */
export async function oidcCredential(
  config: OidcConfig,
  context: string,
  keep: (tokens: OidcTokens) => Promise<void>,
  /** The server has refused the token that is there. */
  force = false,
): Promise<ExecCredential> {
  const token = config['id-token']
  const expiresAt = token === undefined ? undefined : expiryOf(token)
  const refused = force && config['refresh-token'] !== undefined
  if (token && !refused && (expiresAt === undefined || expiresAt - EARLY_MS > Date.now())) return {token, expiresAt}
  const {'idp-issuer-url': issuer, 'client-id': client, 'refresh-token': refresh} = config
  if (!issuer || !client || !refresh) {
    const lacking = Object.entries({'idp-issuer-url': issuer, 'client-id': client, 'refresh-token': refresh})
    throw failure(
      context,
      'OIDC_TOKEN_EXPIRED',
      `Its ID token is ${token ? 'expired' : 'missing'}, and a new one cannot be asked for without ${lacking
        .flatMap(([name, value]) => (value ? [] : [name]))
        .join(' and ')}.`,
    )
  }
  try {
    const ca = await authorityOf(config)
    const discovery = await askJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {ca})
    const endpoint = discovery.token_endpoint
    if (typeof endpoint !== 'string') throw new Error('the issuer names no token_endpoint')
    const secret = config['client-secret']
    const basic = `${encodeURIComponent(client)}:${encodeURIComponent(secret ?? '')}`
    const answer = await askJson(endpoint, {
      ca,
      form: {grant_type: 'refresh_token', refresh_token: refresh, ...(secret ? {} : {client_id: client})},
      authorization: secret ? `Basic ${Buffer.from(basic).toString('base64')}` : undefined,
    })
    const fresh = answer.id_token
    if (typeof fresh !== 'string') throw new Error('the answer to the refresh holds no id_token')
    const next = typeof answer.refresh_token === 'string' ? answer.refresh_token : refresh
    Object.assign(config, {'id-token': fresh, 'refresh-token': next})
    await keep({'id-token': fresh, 'refresh-token': next})
    return {token: fresh, expiresAt: expiryOf(fresh)}
  } catch (error) {
    throw failure(context, 'OIDC_REFRESH_FAILED', `${issuer} gave no new ID token: ${(error as Error).message}.`, error)
  }
}

function failure(context: string, code: string, why: string, cause?: unknown): MirrordError {
  return new MirrordError(
    {
      code,
      exit: 'unauthorized',
      what: `The credentials of the context "${context}" cannot be renewed.`,
      why,
      next: [
        'Sign in again where the kubeconfig comes from.',
        'For CI: use a kubeconfig with the token of a service account, or with an exec plugin (kubelogin) that signs in itself.',
      ],
    },
    {cause},
  )
}

/** When a JWT ends, in ms since the epoch; undefined when it does not say. */
function expiryOf(token: string): number | undefined {
  try {
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {exp?: unknown}
    return typeof payload.exp === 'number' ? payload.exp * 1000 : undefined
  } catch {
    return undefined
  }
}

async function authorityOf(config: OidcConfig): Promise<string | undefined> {
  const data = config['idp-certificate-authority-data']
  if (data) return Buffer.from(data, 'base64').toString()
  const file = config['idp-certificate-authority']
  return file ? await readFile(file, 'utf8') : undefined
}

interface Ask {
  ca: string | undefined
  form?: Record<string, string>
  authorization?: string
}

/** One request; rejects with what the issuer says where it refuses. */
function askJson(address: string, {ca, form, authorization}: Ask): Promise<Record<string, unknown>> {
  const url = new URL(address)
  const body = form && new URLSearchParams(form).toString()
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'http:' ? http : https).request(
      url,
      {
        ca,
        method: body === undefined ? 'GET' : 'POST',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          accept: 'application/json',
          ...(authorization ? {authorization} : {}),
          ...(body === undefined ? {} : {'content-type': 'application/x-www-form-urlencoded'}),
        },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('error', reject)
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.length > MAX_ANSWER) response.destroy(new Error('its answer is too large'))
        })
        response.on('end', () => {
          const value = objectOf(text)
          if (response.statusCode === 200 && value) return resolve(value)
          const said = [value?.error, value?.error_description].filter((part) => typeof part === 'string').join(', ')
          reject(new Error(`HTTP ${response.statusCode}${said ? ` (${said.slice(0, 300)})` : ''}`))
        })
      },
    )
    request.on('error', (error) =>
      reject(error.name === 'AbortError' ? new Error(`no answer within ${TIMEOUT_MS / 1000} s`) : error),
    )
    request.end(body)
  })
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
