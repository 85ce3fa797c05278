// Suggests a user name while the name is typed, until somebody types their own.
const name = document.getElementById('display_name')
const username = document.getElementById('username')
let suggested = username.value
name.addEventListener('input', () => {
  if (username.value !== suggested) return
  const plain = name.value.trim().toLowerCase().normalize('NFKD').replace(/[\u0300-\u036f]/g, '').replaceAll('ß', 'ss')
  suggested = (plain.split(/\s+/)[0] ?? '').replace(/[^a-z0-9_]/g, '').slice(0, 32)
  username.value = suggested
})
