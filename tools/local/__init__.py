"""The local run: the whole system as plain processes of this user, on the loopback interface."""
