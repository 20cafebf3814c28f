import js from '@eslint/js'
import {importX} from 'eslint-plugin-import-x'
import tseslint from 'typescript-eslint'

/**
 * Import direction of docs/architecture.md: a room may import only the rooms listed for it (and itself).
 * Everything not listed is an error.
 */
const rooms = {
  util: [],
  errors: [],
  config: ['errors', 'util'],
  protocol: ['errors', 'util'],
  trap: ['errors', 'util'],
  kube: ['config', 'protocol', 'errors', 'util'],
  operator: ['kube', 'config', 'protocol', 'errors', 'util'],
  proxy: ['trap', 'protocol', 'config', 'errors', 'util'],
  agent: ['protocol', 'errors', 'util'],
  session: ['proxy', 'kube', 'operator', 'trap', 'protocol', 'config', 'errors', 'util'],
  hooks: ['session', 'kube', 'operator', 'config', 'errors', 'util'],
  commands: ['hooks', 'session', 'kube', 'operator', 'config', 'errors', 'util'],
}
const zones = Object.entries(rooms).flatMap(([room, allowed]) =>
  Object.keys(rooms)
    .filter((other) => other !== room && !allowed.includes(other))
    .map((other) => ({
      target: `./src/${room}`,
      from: `./src/${other}`,
      message: `src/${room} must not import src/${other}: imports run downwards only (docs/architecture.md).`,
    })),
)
zones.push(
  ...Object.keys(rooms)
    .filter((room) => !['protocol', 'errors', 'util'].includes(room))
    .map((room) => ({
      target: './sandbox',
      from: `./src/${room}`,
      message: 'sandbox/ shares only src/protocol with the product.',
    })),
  {target: './src', from: './sandbox', message: 'The product never imports the sandbox.'},
)

export default tseslint.config(
  {ignores: ['lib/', 'dist/', 'node_modules/', 'coverage/', 'tmp/', 'native/', 'test/fixtures/']},
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {parserOptions: {projectService: true, tsconfigRootDir: import.meta.dirname}},
    plugins: {'import-x': importX},
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', {argsIgnorePattern: '^_', varsIgnorePattern: '^_'}],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true, allowBoolean: true}],
      'import-x/no-restricted-paths': ['error', {basePath: import.meta.dirname, zones}],
      'import-x/no-cycle': 'off',
      'no-restricted-imports': [
        'error',
        {paths: [{name: 'chalk', message: 'Use src/util/color.ts: chalk ignores NO_COLOR.'}]},
      ],
    },
  },
  {
    // Domain code never prints, exits or reads the environment: values come in as arguments.
    files: ['src/{config,kube,operator,protocol,proxy,trap,session,errors,util}/**/*.ts'],
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
    files: ['src/**/main.ts', 'src/cli.ts', 'src/util/color.ts'],
    rules: {'no-console': 'off', 'no-restricted-properties': 'off', 'no-restricted-imports': 'off'},
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
