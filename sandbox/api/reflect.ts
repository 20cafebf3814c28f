// The library @peculiar/x509 uses decorators through tsyringe, which refuses to load without the metadata functions of
// Reflect and does not bring them. These are the four that it calls; import this file before the library.
type Key = string | symbol
type Entries = Map<Key | undefined, Map<unknown, unknown>>

const all = new WeakMap<object, Entries>()

function own(target: object, property?: Key): Map<unknown, unknown> {
  let entries = all.get(target)
  if (!entries) all.set(target, (entries = new Map<Key | undefined, Map<unknown, unknown>>()))
  let values = entries.get(property)
  if (!values) entries.set(property, (values = new Map<unknown, unknown>()))
  return values
}

function inherited(key: unknown, target: object | null, property?: Key): unknown {
  for (let holder = target; holder; holder = Object.getPrototypeOf(holder) as object | null) {
    const values = own(holder, property)
    if (values.has(key)) return values.get(key)
  }
  return undefined
}

const functions = {
  defineMetadata: (key: unknown, value: unknown, target: object, property?: Key) =>
    void own(target, property).set(key, value),
  getOwnMetadata: (key: unknown, target: object, property?: Key) => own(target, property).get(key),
  getMetadata: inherited,
  metadata: (key: unknown, value: unknown) => (target: object, property?: Key) =>
    void own(target, property).set(key, value),
}
for (const [name, value] of Object.entries(functions)) if (!(name in Reflect)) Object.assign(Reflect, {[name]: value})
