"""What this project is measured against: programs as one would write them first, without its own layers."""
