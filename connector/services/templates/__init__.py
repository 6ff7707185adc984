"""Listing templates: TikTok category, policies and query for a set of products (A139-A156).

``filling`` checks what a person typed, ``editing`` changes them, ``querying`` asks the database which products a query means, ``assign`` gives
products to templates, ``categories`` finds the TikTok category, ``plan`` hands a template to the domain.
"""
