import * as z from 'zod'
import {inert, section} from '../meta.ts'
import {text} from '../scalars.ts'

const why = 'there is no side container: the program runs below the trap in its own container'
const ip = () => z.union([z.ipv4(), z.ipv6()], {error: 'expected an IP address'})

/** Section `container` (config.md 3.9). */
export const containerSection = section(
  {
    cli_image: inert(text().optional(), {doc: 'Image of the side container.', why}),
    cli_extra_args: inert(z.array(z.string()).default([]), {
      doc: 'More arguments for the runtime that starts it.',
      why,
    }),
    cli_prevent_cleanup: inert(z.boolean().default(false), {doc: 'Keep it after the run.', why}),
    cli_image_lib_path: inert(text().optional(), {doc: 'Path of the library in its image.', why}),
    override_host_ip: inert(ip().optional(), {doc: 'Address of this machine as containers see it.', why}),
    host_gateway_detection: inert(z.boolean().default(true), {doc: 'Find that address out.', why}),
    cli_tls_path: inert(text().default('/opt/mirrord/tls/mirrord-tls.pem'), {doc: 'Path of its certificate.', why}),
    platform: inert(text().optional(), {doc: 'Platform of its image.', why}),
  },
  {doc: 'The container commands.'},
)
