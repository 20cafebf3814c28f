/** The part of dns-packet 5 that the sandbox uses; the package brings no types. */
declare module 'dns-packet' {
  export interface Question {
    type: string
    name: string
  }
  export interface Answer {
    type: string
    name: string
    ttl?: number
    data?: unknown
    udpPayloadSize?: number
  }
  export interface Packet {
    type?: 'query' | 'response'
    id?: number
    flags?: number
    questions?: Question[]
    answers?: Answer[]
    authorities?: Answer[]
    additionals?: Answer[]
  }
  export const RECURSION_DESIRED: number
  export const RECURSION_AVAILABLE: number
  export const AUTHORITATIVE_ANSWER: number
  export const TRUNCATED_RESPONSE: number
  export function encode(packet: Packet): Buffer
  export function decode(message: Uint8Array): Packet
}
