// A container may run with a user number that has no passwd entry, and without HOME (`docker run -u 1234`, OpenShift). There
// os.homedir() and os.userInfo() throw, which oclif and its plugins call when they are loaded. Here they answer instead, for
// this process alone: no variable of the environment is set, which the user's program would inherit. Nobody may have imported
// node:os before: an `import` sees a module as it was at the first one.
const os = process.getBuiltinModule('node:os')

/** The home of who has none: nothing below it can exist or be made, not even by root, so nothing is read that others put there. */
const NO_HOME = '/dev/null'
const {homedir, userInfo} = os

os.homedir = () => {
  try {
    return homedir() || NO_HOME
  } catch {
    return NO_HOME
  }
}

os.userInfo = (options) => {
  try {
    return userInfo(options)
  } catch {
    const [uid, gid] = [process.getuid?.() ?? -1, process.getgid?.() ?? -1]
    return {uid, gid, username: String(uid), homedir: os.homedir(), shell: null}
  }
}
