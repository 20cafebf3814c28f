export {compilePatterns, type LabelledPattern} from './automaton.ts'
export {patternMatcher} from './matcher.ts'
export {PatternError} from './pattern-error.ts'
export {patternReplacer} from './replacer.ts'
