from .http_source import HttpSource as HttpSource
from .hub_source import HubAddress as HubAddress
from .hub_source import HubSource as HubSource
from .pushing import push_to_folder as push_to_folder
from .pushing import push_to_hub as push_to_hub

__all__ = ["HttpSource", "HubAddress", "HubSource", "push_to_folder", "push_to_hub"]
