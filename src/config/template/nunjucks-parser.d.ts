/** The part of nunjucks that is used here: its parser. The published types cover only the package's main file. */
declare module 'nunjucks/src/parser.js' {
  /** A node as the parser makes it; `nodes.ts` says which fields each kind has. */
  interface ParsedNode {
    readonly typename: string
  }
  const parser: {parse(source: string): ParsedNode}
  export default parser
}
