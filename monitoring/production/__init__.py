"""What a production start needs beyond the shipped files: certificates, passwords, locked doors."""
