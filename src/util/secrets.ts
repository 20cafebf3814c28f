/** Texts of ours quote URLs and what others have said of them: user names, passwords and queries are cut out. */
export function withoutSecrets(text: string): string {
  return withoutUserInfo(text).replace(/(\b[a-z][a-z\d+.-]*:\/\/[^\s?#"'<>]*)[?#][^\s"'<>]*/gi, '$1')
}

/** The text without `user:password@` in its URLs. */
export function withoutUserInfo(text: string): string {
  return text.replace(/(\b[a-z][a-z\d+.-]*:\/\/)[^\s/?#"'<>]*@/gi, '$1')
}
