"""What an operator holds up."""

# Whether the run of the surrounding statement is held up. The table is nearly always empty, and then this costs nothing.
PAUSED = """
    EXISTS (SELECT FROM sync_pauses AS pause
             WHERE (pause.tenant_id IS NULL OR pause.tenant_id = sync_runs.tenant_id)
               AND (pause.marketplace IS NULL OR pause.marketplace = sync_runs.marketplace))
"""
