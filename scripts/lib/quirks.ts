/** What became of a quirk of upstream: copied, done in a better way, left to a later version, or without meaning here. */
type Decision = 'same' | 'better' | 'not yet' | 'none here'

/** A quirk of upstream (spec config.md 9) and what is done about it. */
export interface Quirk {
  id: string
  quirk: string
  decision: Decision
  here: string
}

const quirk = (id: string, text: string, decision: Decision, here: string): Quirk => ({id, quirk: text, decision, here})

/** All of them, by number. */
export const quirks: readonly Quirk[] = [
  quirk('Q1', 'Flags after the program are taken by the CLI.', 'better', 'From the first word that is no flag, everything belongs to the program, with `--` or without.'),
  quirk('Q2', 'A bare `-f` takes the next word as its file.', 'same', 'Write `-f -- PROGRAM` or `-f=FILE`.'),
  quirk('Q3', '`ci start --foreground` with `ci.output_dir` always ends with 0.', 'better', "The program's status is passed on, and the output goes to the caller too."),
  quirk('Q4', 'In the background argv[0] is the resolved path.', 'better', 'It is the word as typed.'),
  quirk('Q5', '`feature.env.unset` leaves inherited variables.', 'better', 'They are removed, wherever they come from.'),
  quirk('Q6', 'One store for a temp directory, truncated before it is locked; processes are killed by number.', 'better', 'State belongs to one job, is replaced by rename, and a process is known by start time and boot.'),
  quirk('Q7', 'Method and jq filters are not counted among the kinds of filter that exclude each other.', 'better', 'All seven kinds count, before anything starts.'),
  quirk('Q8', 'Empty filter lists and bad patterns are found only in the program.', 'better', 'They are found before anything starts, with key and line.'),
  quirk('Q9', '`MIRRORD_FILE_READ_ONLY_PATTERN` is passed over where `feature.fs` is an object.', 'better', 'It is read like every other variable.'),
  quirk('Q10', 'Paths that are remote by default are so in every mode but `local`.', 'same', 'Their directories are written locally.'),
  quirk('Q11', 'No target is not the same as `targetless`.', 'same', 'Without a target, files count as `localwithoverrides`; a mode that was asked for is named in a warning.'),
  quirk('Q12', 'Stealing without a target passes verification.', 'better', 'A warning says that no traffic is taken.'),
  quirk('Q13', 'File mappings apply in the order of a hash table, and writes that stay local use the original path.', 'better', 'They apply in the order of the file, to every path; case counts as upstream.'),
  quirk('Q14', 'A rename is judged as a read.', 'better', 'It is judged as a write, like every change.'),
  quirk('Q15', 'Connections to loopback go to the pod, but for listeners of the program; those on port 0 are not known.', 'better', 'They go to the pod, but for listeners of the tree, those on port 0 too.'),
  quirk('Q16', 'Some variables never come from the target, even if included.', 'same', 'The same names.'),
  quirk('Q17', 'Values of `feature.env.mapping` are literal.', 'not yet', 'The key is refused by name until mapping is done; values will be literal.'),
  quirk('Q18', 'The default of `agent.jaq_time_limit` is documented in other units.', 'same', 'Seconds, 1 by default.'),
  quirk('Q19', 'Of unconnected UDP only port 53 goes to the target.', 'better', 'All of it goes to the target while outgoing UDP is on, but for the sockets of the tree, multicast and broadcast.'),
  quirk('Q20', '`$schema` and comments are refused in JSON.', 'better', 'Both are accepted.'),
  quirk('Q21', 'Double quotes in templates hide the `key` of the file.', 'better', 'The key is found in the rendered text.'),
  quirk('Q22', '`verify-config` ends with 0 when it fails.', 'better', 'It prints the same JSON and ends with the exit code of the failure (3x), so that a CI step fails.'),
  quirk('Q23', 'The program is killed when the agent is lost.', 'better', 'Another agent takes over; where none can be had within 15 s, the program is killed at once.'),
  quirk('Q24', '`exec` with a CI API key becomes `ci start --foreground`.', 'same', 'A warning says so; the two differ in their defaults alone.'),
  quirk('Q25', 'Header filters see `name: value` with a name in small letters, and match without regard to case.', 'not yet', 'Refused by name until HTTP filters are done; the same then.'),
  quirk('Q26', 'Body filters match with regard to case, the others without.', 'not yet', 'Refused by name until HTTP filters are done; the same then.'),
  quirk('Q27', 'Keys marked as unstable warn at the top level of a section, but not below.', 'none here', 'What is done here is stable: `agent.flush_connections` and `unix_streams` do not warn. What has no effect always does.'),
  quirk('Q28', '`-c true` takes `true` as the program.', 'same', 'Write `-c=true`.'),
]
