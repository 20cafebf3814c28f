import type {Behaviour, Owner} from './rows.ts'

/**
 * What is wrong with upstream's `mirrord ci` (the specification's operator page, 5.8), and must not be with ours. A test that
 * would fail for upstream names the defect by `[D8]` in its title; `npm run behaviours` shows them below the behaviours.
 */
export const defects: readonly Behaviour[] = [
  defect('D1', 'one state file for all jobs and users of a machine; another TMPDIR does not find it'),
  defect('D2', 'the state file is read, changed and written without a lock around it'),
  defect('D3', 'the state file is emptied before it is locked'),
  defect('D4', 'a session that could not lock the state file is not recorded, and its start succeeds'),
  defect('D5', 'readers of the state file see it half written'),
  defect('D6', 'a process is known by its number only: a later one of the same number is killed'),
  defect('D7', 'numbers of the state file are not checked: process groups, or all processes, are killed'),
  defect('D8', 'only the direct child is killed'),
  defect('D9', 'SIGKILL without a grace'),
  defect('D10', 'the proxy is killed before the program'),
  defect('D11', 'one process that may not be killed keeps the stop from ever succeeding'),
  defect('D12', 'stop does not wait for the end'),
  defect('D13', 'a background start returns before the program is ready'),
  defect('D14', 'foreground with an output directory ends with status 0 whatever the program did'),
  defect('D15', 'stop does not know the program of a run in the foreground'),
  container('D16', 'ci container: the exit code of the foreground is lost'),
  container('D17', 'ci container: the container outlives its stop'),
  container('D18', 'ci container: the log of the sidecar is lost'),
  defect('D19', '`feature.env.unset` has no effect'),
  defect('D20', 'the program stays in the process group of the CI step'),
  defect('D21', 'an empty API key is an error', 'operator'),
  defect('D22', 'a newline at the end of the API key is an error', 'operator'),
  defect('D23', 'the API key is decoded where no operator is used', 'operator'),
  defect('D24', "the end of the API key's validity is not announced", 'operator'),
  {...defect('D25', 'Windows is refused as a whole', 'operator'), priority: 'C'},
  defect('D26', 'nothing is shown where no terminal is'),
  defect('D27', 'the help of stop demands an API key'),
  defect('D28', 'a start that fails after it was connected leaves its proxy'),
  defect('D29', 'pipeline, environment and trigger of the CI system are not recognised'),
  defect('D30', 'output directories and state accumulate'),
]

/** Not every machine can run a container, a chroot cannot: there its tests are skipped, which must not fail the whole. */
function container(id: string, name: string): Behaviour {
  return {...defect(id, name), priority: 'C'}
}

function defect(id: string, name: string, owner: Owner = 'life-cycle'): Behaviour {
  return {id, priority: 'A', name, owner}
}
