"""The catalogue desk: Magento's products as last read, what they become on TikTok, and keeping both in step (product.md 5, A157-A178).

``catalogue`` reads products from Magento, ``store_attributes`` what describes them (attributes with options, sets, categories), ``stock_reading`` their
stock; ``facts`` hands all of it to the pure domain, in bulk and without HTTP. ``due`` marks the listings that a change concerns.
"""
