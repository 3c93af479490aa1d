"""
The outside world, one system per file, named after it. SDK types stop here.

``table_ledger``, ``table_consents`` and ``table_leases`` keep state in Azure Tables through ``table_client``;
``storage_queue`` puts messages back; ``key_vault`` keeps secrets; ``entra`` and ``graph`` speak to Microsoft;
``smtp_session`` and ``smtp_pool`` hand mail over.
"""
