"""
The outside world, one system per file, named after it. SDK types stop here.

``table_ledger``, ``table_consents`` and ``table_leases`` keep state in Azure Tables through ``table_client``;
``storage_queue`` puts messages on queues; ``blob_container`` and ``blob_templates`` read what apps and
operators upload; ``storage_account`` says how all of them are reached. ``key_vault`` keeps secrets; ``entra``
and ``graph`` speak to Microsoft; ``smtp_wire``, ``smtp_session`` and ``smtp_pool`` hand mail over.
"""
