"""Single queries: what each found before an attack, under it and behind a defense, as data and as pictures."""
