"""The evidence ledger: records every event, proves what it recorded, and releases results that have their evidence."""
