"""Who a policy plays against: itself, its past, computers."""
