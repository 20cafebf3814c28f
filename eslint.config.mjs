import js from '@eslint/js'
import tseslint from 'typescript-eslint'

/**
 * Import direction of docs/architecture.md: a room may import only the rooms listed for it (and itself).
 * Everything not listed is an error.
 */
const rooms = {
  util: [],
  errors: [],
  patterns: [],
  config: ['patterns', 'errors', 'util'],
  protocol: ['errors', 'util'],
  trap: ['errors', 'util'],
  report: ['errors', 'util'],
  ci: ['errors', 'util'],
  container: ['errors', 'util'],
  kube: ['config', 'protocol', 'errors', 'util'],
  operator: ['kube', 'config', 'protocol', 'errors', 'util'],
  proxy: ['trap', 'protocol', 'config', 'patterns', 'errors', 'util'],
  agent: ['protocol', 'errors', 'util'],
  session: [
    'proxy',
    'container',
    'kube',
    'operator',
    'trap',
    'report',
    'ci',
    'protocol',
    'config',
    'patterns',
    'errors',
    'util',
  ],
  doctor: ['session', 'kube', 'operator', 'trap', 'config', 'errors', 'util'],
  hooks: ['cli', 'session', 'kube', 'operator', 'ci', 'config', 'errors', 'util'],
  cli: ['doctor', 'session', 'container', 'kube', 'report', 'ci', 'config', 'errors', 'util'],
  commands: ['cli', 'hooks', 'doctor', 'session', 'kube', 'operator', 'report', 'ci', 'config', 'errors', 'util'],
}
/** Forbids importing the other rooms, by the path that a relative import needs to reach them. */
const boundary = (files, forbidden, message) => ({
  files,
  rules: {
    'no-restricted-imports': ['error', {patterns: [{regex: `^(\\.\\./)+${forbidden}/`, message}], paths: [chalk]}],
  },
})
const chalk = {name: 'chalk', message: 'Use src/util/color.ts: chalk ignores NO_COLOR.'}
const names = Object.keys(rooms)
const boundaries = [
  ...Object.entries(rooms).map(([room, allowed]) =>
    boundary(
      [`src/${room}/**/*.ts`],
      `(?:${names.filter((other) => other !== room && !allowed.includes(other)).join('|')}|sandbox|test)`,
      `src/${room} may import only ${allowed.join(', ') || 'nothing'}: imports run downwards (docs/architecture.md).`,
    ),
  ),
  boundary(
    ['sandbox/**/*.ts'],
    'src/(?!protocol|errors|util)[a-z]+',
    'sandbox/ shares only src/protocol with the product.',
  ),
]

export default tseslint.config(
  {ignores: ['lib/', 'dist/', 'node_modules/', 'coverage/', 'tmp/', 'native/', 'test/fixtures/']},
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {parserOptions: {projectService: true, tsconfigRootDir: import.meta.dirname}},
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', {argsIgnorePattern: '^_', varsIgnorePattern: '^_'}],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true, allowBoolean: true}],
      'no-restricted-imports': [
        'error',
        {paths: [{name: 'chalk', message: 'Use src/util/color.ts: chalk ignores NO_COLOR.'}]},
      ],
    },
  },
  ...boundaries,
  {
    // Domain code never prints, exits or reads the environment: values come in as arguments.
    files: ['src/{config,patterns,kube,operator,protocol,proxy,trap,report,ci,container,session,errors,util}/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {object: 'process', property: 'env', message: 'Pass the environment in as a value.'},
        {object: 'process', property: 'exit', message: 'Return or throw: only entry points exit.'},
      ],
    },
  },
  {
    // Entry points: the process's own environment, exit code and streams begin and end here.
    files: ['src/**/main.ts', 'src/cli.ts'],
    rules: {'no-console': 'off', 'no-restricted-properties': 'off'},
  },
  {
    // The one place that imports chalk, and by default looks at the process's own environment.
    files: ['src/util/color.ts'],
    rules: {'no-restricted-properties': 'off', 'no-restricted-imports': 'off'},
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        setInterval: 'readonly',
        clearTimeout: 'readonly',
        fetch: 'readonly',
      },
    },
  },
)
