"""How the source reads what AWS answers."""
