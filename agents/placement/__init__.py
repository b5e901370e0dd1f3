"""Where a run's parts are: in this process, or spread over Ray's."""
