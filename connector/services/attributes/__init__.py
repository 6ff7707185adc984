"""TikTok's category attributes: fetched, mapped to Magento's, attached to listing templates (A123-A138, A153)."""
