/** The container runtimes whose command line we know. */
export const runtimes = ['docker', 'podman', 'nerdctl'] as const
export type RuntimeName = (typeof runtimes)[number]
