import {stringify} from 'yaml'

/** A value as YAML. A module of its own, loaded only for YAML: the library is large. */
export const yamlText = (value: unknown): string => stringify(value)
