"""What is checked of a request before anything is computed: its sender, body, numbers and image files.

`access` checks hosts, origins and the token; `request_body` limits size, time and memory; `json_numbers` and
`image_files` check what is sent.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
