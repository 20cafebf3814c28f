export {TemplateError} from './value.ts'

/** Whether a text holds anything of a template. Here, because the rest of this room is loaded only if it does. */
export const hasTemplate = (text: string): boolean => /\{[{%#]/.test(text)
