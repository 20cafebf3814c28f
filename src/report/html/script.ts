/**
 * The page's one script: a filter above every longer table, and headers that sort. Everything is readable without it; what it
 * adds is made here, so that nobody meets a control that does nothing.
 */
export const script = `'use strict'
const collator = new Intl.Collator(undefined, {numeric: true})
for (const part of document.querySelectorAll('.table')) {
  const body = part.querySelector('tbody')
  const rows = [...body.rows]
  if (rows.length < 2) continue
  const caption = part.querySelector('caption').firstChild.textContent.trim()
  const headers = [...part.querySelectorAll('thead th')]
  headers.forEach((header, column) => {
    const button = document.createElement('button')
    button.type = 'button'
    button.append(...header.childNodes)
    header.append(button)
    header.setAttribute('aria-sort', 'none')
    button.addEventListener('click', () => {
      const numeric = rows[0].cells[column].dataset.v !== undefined
      const now = header.getAttribute('aria-sort')
      const ascending = now === 'none' ? !header.classList.contains('n') : now === 'descending'
      for (const other of headers) other.setAttribute('aria-sort', other === header ? (ascending ? 'ascending' : 'descending') : 'none')
      const keyed = rows.map((row) => {
        const cell = row.cells[column]
        return [row, numeric ? Number(cell.dataset.v) : cell.textContent]
      })
      const order = numeric ? (a, b) => a[1] - b[1] : (a, b) => collator.compare(a[1], b[1])
      keyed.sort(ascending ? order : (a, b) => order(b, a))
      body.append(...keyed.map(([row]) => row))
    })
  })
  if (rows.length < 8) continue
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(' ').toLowerCase())
  const filter = document.createElement('div')
  filter.className = 'filter'
  const label = document.createElement('label')
  const input = document.createElement('input')
  const result = document.createElement('span')
  input.type = 'search'
  input.id = part.id + '-filter'
  input.autocomplete = 'off'
  input.spellcheck = false
  label.htmlFor = input.id
  label.textContent = 'Filter \\u201c' + caption + '\\u201d'
  result.setAttribute('role', 'status')
  result.className = 'soft'
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\\s+/).filter(Boolean)
    let shown = 0
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word))
      if (!row.hidden) shown++
    })
    result.textContent = words.length === 0 ? '' : shown + ' of ' + rows.length + ' rows'
  })
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || input.value === '') return
    event.preventDefault()
    input.value = ''
    input.dispatchEvent(new Event('input'))
  })
  filter.append(label, input, result)
  part.prepend(filter)
}
`
