const colours = process.stdout.isTTY && !process.env.NO_COLOR
const paint = (code: number) => (text: string) => (colours ? `\u001B[${code}m${text}\u001B[0m` : text)
const bold = paint(1)
const dim = paint(2)
const red = paint(31)
const green = paint(32)
const cyan = paint(36)

let chapters = 0
const began = Date.now()

/** A new part of the story. */
export function chapter(title: string): void {
  console.log(`\n${bold(`${++chapters}. ${title}`)} ${dim(`(${((Date.now() - began) / 1000).toFixed(1)} s)`)}`)
}

export function say(text: string): void {
  console.log(`   ${text}`)
}

/** A command line as a user would type it. */
export function command(line: string): void {
  console.log(`   ${cyan('$')} ${line}`)
}

/** What a command or a service answered. */
export function output(text: string): void {
  for (const line of text.trimEnd().split('\n')) console.log(`     ${dim('|')} ${line}`)
}

/** Something that was shown, and checked. */
export function shown(text: string): void {
  console.log(`   ${green('✓')} ${text}`)
}

export function failed(text: string): void {
  console.log(`   ${red('✗')} ${text}`)
}

export function end(text: string, ok: boolean): void {
  console.log(`\n${(ok ? green : red)(text)} ${dim(`(${((Date.now() - began) / 1000).toFixed(1)} s)`)}`)
}
