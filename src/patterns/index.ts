export {compilePatterns, type LabelledPattern} from './automaton.ts'
export {PatternError} from './pattern-error.ts'
