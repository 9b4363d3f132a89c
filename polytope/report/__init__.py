"""What people read: the audit and its pictures."""
