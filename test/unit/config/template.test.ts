import {describe, expect, it} from 'vitest'
import {renderTemplate, TemplateError} from '../../../src/config/template/index.ts'

const secret = 'canary-7f3a'
const render = (source: string) =>
  renderTemplate(source, {
    env: {HOME: '/home/me', SECRET: secret},
    variables: {key: {value: 'abc12'}, git_branch: {missing: 'git_branch has no value'}},
  })
const refusal = (source: string) => {
  try {
    render(source)
  } catch (error) {
    if (error instanceof TemplateError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('renderTemplate', () => {
  it.each([
    ['{{ key }}', 'abc12'],
    ["{{ get_env(name='HOME') }} {{ get_env(name=\"NO\", default='d') }}", '/home/me d'],
    ["{{ git_branch | default(value='none') }} {{ git_branch | default('main') | upper }}", 'none MAIN'],
    ['a{# comment #}b', 'ab'],
    ['{% raw %}^a{{2}|{% if %}{% endraw %}', '^a{{2}|{% if %}'],
    ['{% if git_branch %}b{% elif key == "abc12" %}k{% else %}e{% endif %}', 'k'],
    ['{% if not git_branch and 2 > 1 or false %}y{% endif %}', 'y'],
    [
      '{% for i in range(end=6, start=1, step_by=2) %}{{ loop.index }}:{{ i }}{% if not loop.last %},{% endif %}{% endfor %}',
      '1:1,2:3,3:5',
    ],
    ['{% for k, v in {a: 1, b: 2} %}{{ k }}{{ v }}{% endfor %}', 'a1b2'],
    ['{% for x in [] %}x{% else %}none{% endfor %}', 'none'],
    ['{% set a = "x" %}{% set b %}[{{ a }}]{% endset %}{{ a ~ b }}', 'x[x]'],
    ['{% macro m(a, b="z") %}<{{ a }}{{ b }}>{% endmacro %}{{ self::m(a="1") }}{{ m("2", b="3") }}', '<1z><23>'],
    ['{% filter upper %}a {{ key }}{% endfilter %}', 'A ABC12'],
    ['a\n {%- if key -%}\n b\n{%- endif %} c', 'ab c'],
    ["{{ 'a' if key else 'b' }}", 'a'],
    ['{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ -1 }}', '5 3 3 -1'],
    ["{{ 'b' in key }} {{ 2 not in [1, 3] }} {{ key is defined }} {{ nope is undefined }}", 'true true true true'],
    ["{{ key is starting_with('a') and key is ending_with('2') and key is containing('bc') }}", 'true'],
    [
      "{{ key is matching('^[a-c]+\\d{2}$') }} {{ 3 is odd }} {{ 3 is even }} {{ key is number }}",
      'true true false false',
    ],
    ['{{ [3, 1, 2, 1] | sort | unique | reverse | join(sep="-") }}', '3-2-1'],
    ['{{ [1, 2] | concat(with=[3]) | last }} {{ [1, 2] | nth(n=1) }} {{ [] | first | default(value=0) }}', '3 2 0'],
    ['{{ "a,b" | split(pat=",") | length }} {{ "añb" | length }}', '2 3'],
    ['{{ "feature/New Thing_é" | slugify }} {{ "a b/c:" | urlencode }}', 'feature-new-thing-e a%20b/c%3A'],
    ['{{ key | replace(from="abc", to="$&") }} {{ "abcdef" | truncate(length=2) }}', '$&12 ab…'],
    ['{{ " x " | trim }}{{ "xxa" | trim_start_matches(pat="x") }} {{ "hello you" | title }}', 'xa Hello You'],
    [
      '{{ "ff" | int(base=16) }} {{ "1.5" | float | round }} {{ "z" | int(default=7) }} {{ 5 | as_str | json_encode }}',
      '255 2 7 "5"',
    ],
    ['{{ {a: [1, "x"]} | json_encode }} {{ {a: 1} | get(key="b", default="c") }}', '{"a":[1,"x"]} c'],
    ['{{ "2026-11-23T10:20:30Z" | date(format="%d.%m.%y %H:%M") }} {{ 0 | date }}', '23.11.26 10:20 1970-01-01'],
    ['{{ "}}" }} {{ \'{{\' }}', '}} {{'],
    ['{{ [1, "a"] }}', '[1, a]'],
    ['{{ `it\'s` }} {{ get_env(name=`HOME`) }} {{ `"` }}', 'it\'s /home/me "'],
    [String.raw`{{ 'a\n\' ~ "\d" }}{{ {'\': 1} | json_encode }}`, String.raw`a\n\\d{"\\":1}`],
    ['{% macro m(a) %}<{{ a }}>{% endmacro m %}{{ self::m(a="self::m") }}', '<self::m>'],
    ['{{ "<a & \'b\'/>" | escape }} {{ "<a/>" | escape_xml }}', '&lt;a &amp; &#x27;b&#x27;&#x2F;&gt; &lt;a/&gt;'],
    ['{{ "<b>x</b>" | striptags }} {{ 2 | pluralize }}{{ 1 | pluralize(singular="y") }}', 'x sy'],
    ['{{ "a\n\nb" | indent(prefix="-") }}', 'a\n\n-b'],
    ['no template', 'no template'],
  ])('renders %j', (source, text) => {
    expect(render(source).text).toBe(text)
  })

  it('has the present and random numbers', () => {
    expect(Number(render('{{ now(timestamp=true) }}').text)).toBeGreaterThan(1_700_000_000)
    expect(render('{{ now(utc=true) }}').text).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/)
    expect(['5', '6']).toContain(render('{{ get_random(start=5, end=7) }}').text)
  })

  it('knows where each part of the text comes from, also where lines come and go', () => {
    const source = 'a\n{# one\n two #}b\n{%- if key %}\n  c: {{ "1\n2" }}\nd\n{% endif -%}\n\n e'
    const {text, placeOf} = render(source)
    expect(text).toBe('a\nb\n  c: 1\n2\nd\ne')
    const places = [...text.matchAll(/[a-e12]/g)].map(({index}) => {
      const before = text.slice(0, index).split('\n')
      const {line, column} = placeOf({line: before.length, column: before.at(-1)!.length + 1})
      return `${text[index]} ${line}:${column}`
    })
    expect(places).toEqual(['a 1:1', 'b 3:8', 'c 5:3', '1 5:undefined', '2 5:undefined', 'd 7:1', 'e 10:2'])
  })

  it.each([
    ['{{ nope }}', 3, '"nope" is not a known name (known: key, get_env'],
    ['{{ nope.deep.down }}', 12, '"nope" is not a known name'],
    ['x {{ git_branch }}', 5, 'git_branch has no value'],
    ["{{ get_env(name='NO') }}", 10, "NO is not set; say what holds then: get_env(name='NO', default='…')"],
    ["{{ get_env(nam='NO') }}", 10, 'no argument "nam"; did you mean "name"?'],
    ['{{ get_evn(name="X") }}', 10, 'not a known function; did you mean "get_env"?'],
    ['{{ key | uper }}', 9, 'not a known filter; did you mean "upper"?'],
    ['{{ key | default }}', 9, "default(value='…')"],
    ['{{ key | replace(from="a") }}', 9, 'needs the argument "to"'],
    ['{{ key | nth(n=1) }}', 9, 'it needs a list; found a text'],
    ['{{ key | int }}', 9, 'not a whole number'],
    ['{{ key is startng_with("a") }}', 22, 'not a known test; did you mean "starting_with"?'],
    ['{{ key is matching("(") }}', 3, 'not a valid regular expression'],
    ['{{ "a" + 1 }}', 3, 'texts are joined by ~'],
    ['{{ 1 / 0 }}', 3, 'not finite'],
    ['{{ key < 1 }}', 7, 'compares two numbers or two texts'],
    ['{{ {a: 1} }}', 3, 'json_encode()'],
    ['a {{ key', 2, '"{{" has no "}}"'],
    ['^a{{2}b', 2, '"{{" has no "}}"'],
    ['a {# b', 2, '"{#" has no "#}"'],
    ['a {% raw %} b', 2, '{% raw %} has no {% endraw %}'],
    ['a {% if key %}{% for x in [1] %}{% endfor %}', 2, '{% if %} has no {% endif %}'],
    ['{% if key %}{% endfor %}', 12, '{% endfor %} has no beginning; {% endif %} is expected first'],
    ['{% else %}', 0, 'outside of {% if %}'],
    ['{% fi key %}{% endif %}', 0, '{% fi %} is not a known tag; did you mean "if"?'],
    ['{{ key key }}', 7, 'expected "}}"'],
    ['{{ }}', 3, 'expected a name'],
    ['{{ key | }}', 9, 'malformed'],
    ['{{ get_env(name=\\"X\\") }}', 16, 'a backslash inside "{{"; its texts need single quotes'],
    ["{{ throw(message='not on main') }}", 8, 'throw(): not on main'],
    ["{% include '/etc/passwd' %}", 0, 'not available: a configuration is one file'],
    ["{% import 'x' as x %}", 0, 'one file'],
    ["{% extends 'x' %}", 0, 'one file'],
    [`{{ ${'('.repeat(1000)}${')'.repeat(1000)} }}`, 53, 'nested deeper than 50'],
    [`${'{% if key %}'.repeat(200)}${'{% endif %}'.repeat(200)}`, 600, 'nested deeper than 50'],
    ['{% set a = 1 %}'.repeat(400), 4500, 'at most 300 tags'],
    [`{{ "${'x'.repeat(5000)}" }}`, 0, 'within 4096 characters'],
    [
      '{% for a in range(end=9999) %}{% for b in range(end=9999) %}{{ b }}{% endfor %}{% endfor %}',
      undefined,
      'does not end',
    ],
    ['{{ range(end=1000000000) }}', 8, 'at most 10000 entries'],
    ['{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}', 19, 'macros call each other'],
  ] as [string, number | undefined, string][])('refuses %j at its place', (source, offset, words) => {
    const error = refusal(source)
    expect(error.message).toContain(words)
    if (offset !== undefined) expect(error.offset).toBe(offset)
  })

  it.each([
    "{{ ''.constructor.constructor('return process')() }}",
    '{{ key.constructor }}',
    "{{ key['__proto__'] }}",
    '{{ [].constructor }}',
    '{{ {a: 1}.constructor }}',
    '{{ {a: 1}.__proto__ }}',
    '{{ range.constructor }}',
    '{{ constructor }}',
    '{{ __proto__ }}',
    '{{ key.toString() }}',
    '{{ toString() }}',
    '{{ key | constructor }}',
    '{{ key | toString }}',
    '{{ key is constructor }}',
    "{{ get_env(name='X', default='y').constructor }}",
    '{{ globalThis }}',
    '{{ r/(a+)+$/ }}',
    '{{ loop.constructor }}',
    '{% for x in [1] %}{{ loop.constructor }}{% endfor %}',
  ])('reaches no prototype and no code: %s', (source) => {
    expect(refusal(source)).toBeInstanceOf(TemplateError)
  })

  it.each([
    "{{ get_env(name='SECRET') | int }}",
    "{{ get_env(name='SECRET') + 1 }}",
    "{{ get_env(name='SECRET') | nth(n=1) }}",
    "{{ get_env(name=get_env(name='SECRET') ~ '-x') }}",
    "{{ throw(message='x' ~ get_env(name='SECRET')) }}",
    "{{ key is matching('(' ~ get_env(name='SECRET')) }}",
    "{{ 5 | date(format='%' ~ get_env(name='SECRET')) }}",
    "{{ key | round(method=get_env(name='SECRET')) }}",
  ])('never shows what a variable holds: %s', (source) => {
    const {message, advice} = refusal(source)
    expect(`${message} ${advice}`).not.toContain('canary')
  })

  it('tells how a literal "{{" is written where one is likely', () => {
    expect(refusal('^a{{2}b').advice).toContain('{% raw %}')
  })
})
