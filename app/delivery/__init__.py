"""How others hear of changes: durable listeners, webhooks, mails, feeds on other nodes.

Begin with `outbox`, where stored events wait for durable listeners (`events.relay` delivers them). `webhook_queue`
holds what is to be sent to webhooks, each claimed with a lease, `webhook_sender` sends it, `webhook_client` makes the
request over `receiver_connections`, `destinations` decides which addresses may be called, and `host_lookup` finds them.
`mail_queue`, `mail_sender`, `mail_messages` and `mail_transports` do the same for mails. `timeline_watcher` and
`redis_wakeups` wake feeds on other nodes.
"""
