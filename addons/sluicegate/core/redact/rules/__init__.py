"""What counts as a secret: built-in detectors, vendor keys, personal data, gitleaks rule files."""
