"""The embedded stack: broker, database, model server and services as supervised processes in one state folder."""
