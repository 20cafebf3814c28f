/** The release of upstream whose agent image and protocol this product goes by, and its operator later (ruling R18). */
export const UPSTREAM_VERSION = '3.250.0'
