"""Networks as the codecs run them: model packs and the interpreters that evaluate them."""
