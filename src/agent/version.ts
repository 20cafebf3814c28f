/** The version that the ready line shows: clients compare it with the upstream release they are built for (ruling R18). */
export const agentVersion = '3.250.0'
